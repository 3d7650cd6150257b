"""Which recipes of a search are worth more trainings."""

import math
from collections.abc import Sequence
from statistics import fmean, median, stdev
from typing import NamedTuple

from bench.analysis.accuracy import reached

DOUBT = 3.0  # standard errors that a mean may be below the target before a recipe is given up
SLOWER = 1.2  # than the fastest that reached the target; by less, times may be due to the machine


class TunedTraining(NamedTuple):
    """One training: accuracy on the held-out images, and wall seconds."""

    accuracy: float
    seconds: float


def mean_accuracy(trainings: Sequence[TunedTraining]) -> float:
    """The mean accuracy over seeds."""
    return fmean(one.accuracy for one in trainings)


def median_seconds(trainings: Sequence[TunedTraining]) -> float:
    """The median time over seeds, in seconds."""
    return median(one.seconds for one in trainings)


def hopeless(trainings: Sequence[TunedTraining], target: float | None, fastest: float) -> bool:
    """Whether a recipe is unlikely to reach the target, or too slow; never before three seeds."""
    if target is None or len(trainings) < 3:
        return False
    error = stdev(one.accuracy for one in trainings) / math.sqrt(len(trainings))
    return mean_accuracy(trainings) + DOUBT * error < target or median_seconds(trainings) > SLOWER * fastest


def reaches(trainings: Sequence[TunedTraining], seeds: int, target: float) -> bool:
    """Whether all seeds are there and the lower bound of their mean reaches the target, the rule for test images."""
    accuracies = [one.accuracy for one in trainings]
    return len(trainings) >= seeds and reached(accuracies, [], target).lower >= target
