"""The recipes that are benchmarked: one network in full batches and in mini-batches; how many images are timed."""

import math
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import impls
from bench.workloads.recipes import WIDER, Recipe
from impls.contract import Array, Backend

if TYPE_CHECKING:
    from data import Digits

# The size of AlgoPerf's MNIST workload; plain SGD in file order, so that time goes to the mathematics. Epochs are those
# of the training curve; the rate is the best of 0.05, 0.1, 0.2, 0.5, 1 after these on 10,000 held-out training images.
MINI_BATCHES = Recipe("mini-batches", WIDER, "he_normal", batch=128, learning_rate=0.5, epochs=5)
FULL_BATCH = replace(MINI_BATCHES, name="full batch", batch=None, learning_rate=0.2, epochs=20)
CASES = (FULL_BATCH, MINI_BATCHES)
SAME_PLAN = MINI_BATCHES  # the plan on which all backends are compared

# Images of a timed epoch of a slow backend; its time is scaled up to all. So an epoch takes about as long as those of
# the other backends, and measurements that are compared are close in time.
SAMPLED = {impls.REFERENCE: 500}

LARGE = 200_000_000  # bytes of images above which those that are drawn are in a file
BLOCK = 10_000  # of them are copied at a time

GENTLE = 10.0  # sum of the learning rates of an epoch that is timed, at most


def sampled(backend: str, n_images: int, batch: int | None) -> int:
    """Return on how many of the images an epoch of this backend is timed: a batch at least."""
    return min(n_images, max(SAMPLED.get(backend, n_images), batch or 0))


def gently(case: Recipe, n_images: int) -> Recipe:
    """The case as an epoch of it is timed: at a rate so low that rounding does not decide where the training ends.

    What a call returns can then be checked however many updates it makes. Times do not depend on the rate.
    """
    updates = -(-n_images // (case.batch or n_images))
    return replace(case, learning_rate=min(case.learning_rate, GENTLE * (1 - case.momentum) / updates))


def default_case(backend: Backend) -> Recipe:
    """Return the case of the backend's default batch size; mini-batches if there is none."""
    return next((case for case in CASES if case.batch == backend.BATCH_SIZE), SAME_PLAN)


def drawn(digits: "Digits", n_images: int | None = None) -> "Digits":
    """Return so many of the images in random order, the same every time; None: all of them.

    What is timed holds all digits then, and so does every batch, also where a file is sorted by label.
    """
    chosen = np.random.default_rng(0).permutation(len(digits.labels))[:n_images]
    return digits._replace(images=picked(digits.images, chosen), labels=digits.labels[chosen])


def picked(images: Array, chosen: Array) -> Array:
    """The images of these indices, (n, n_inputs); more than LARGE bytes in a file without a name, never in memory."""
    shape = len(chosen), *images.shape[1:]
    if math.prod(shape) * images.itemsize <= LARGE:
        return images[chosen]
    with tempfile.TemporaryFile() as file:
        found = np.memmap(file, images.dtype, "w+", shape=shape)
    for first in range(0, len(chosen), BLOCK):
        found[first : first + BLOCK] = images[chosen[first : first + BLOCK]]
    return found
