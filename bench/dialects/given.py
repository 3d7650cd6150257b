"""What every library is given: rates and gradients of a single parameter, and images and weights from a fixed seed."""

from typing import Any

import numpy as np

RATES = (0.4, 0.2, 0.1)  # of three updates, in which the gradient is 1
MOMENTUM = 0.9
DECAY = 0.1
HOPELESS = 40.0  # the logit of another class, where that of the image's own class is 0: probability 4e-18
BATCH, INPUTS, HIDDEN, OUTPUTS = 128, 784, 128, 10


def images() -> Any:
    """(128, 784) float32, from 0 to 1, a fifth of it not zero, as MNIST's are."""
    rng = np.random.default_rng(1)
    pixels = rng.random((BATCH, INPUTS))
    return np.where(rng.random((BATCH, INPUTS)) < 0.2, pixels, 0).astype(np.float32)


def weights(columns: int = HIDDEN) -> Any:
    """(784, columns) float32, normal with variance 1/784."""
    return (np.random.default_rng(2).standard_normal((INPUTS, columns)) / np.sqrt(INPUTS)).astype(np.float32)


def equal_images() -> Any:
    """(128, 784) float32, the first image 128 times."""
    return np.repeat(images()[:1], BATCH, axis=0)


def few_bytes() -> Any:
    """(4, 784) uint8, as pixels come from a file."""
    return np.random.default_rng(3).integers(0, 256, (4, INPUTS), dtype=np.uint8)


def many_bytes() -> Any:
    """(17,000,000,) uint8, all 255: their sum is above 2^32, as that of MNIST's squared pixels is."""
    return np.full(17_000_000, 255, dtype=np.uint8)


def many_floats() -> Any:
    """(4,194,304,) float32, all 0.3, as a background of one grey."""
    return np.full(2**22, 0.3, dtype=np.float32)
