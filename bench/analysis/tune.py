"""Which recipes of a search are worth more trainings."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev
from typing import NamedTuple

from bench.analysis.accuracy import reached

FEWEST = 3  # seeds before a recipe is given up
DOUBT = 3.0  # standard errors that a mean may be below the target before a recipe is given up
SLOWER = 1.2  # than the fastest that reached the target; by less, times may be due to the machine


class TunedTraining(NamedTuple):
    """One training: accuracy on the held-out images, and wall seconds; see `bench.experiments.tune.Search`."""

    accuracy: float
    seconds: float | None  # None: they are not compared, as another machine measured them, or a worker


def mean_accuracy(trainings: Sequence[TunedTraining]) -> float:
    """The mean accuracy over seeds."""
    return fmean(one.accuracy for one in trainings)


def median_seconds(trainings: Sequence[TunedTraining]) -> float | None:
    """The median over seeds of the times that can be compared, in seconds; None: there are none."""
    seconds = [one.seconds for one in trainings if one.seconds is not None]
    return median(seconds) if seconds else None


def hopeless(trainings: Sequence[TunedTraining], target: float | None, fastest: float = math.inf) -> bool:
    """Whether a recipe is unlikely to reach the target, or too slow; never before three seeds."""
    if target is None or len(trainings) < FEWEST:
        return False
    error = stdev(one.accuracy for one in trainings) / math.sqrt(len(trainings))
    if mean_accuracy(trainings) + DOUBT * error < target:
        return True
    seconds = [one.seconds for one in trainings if one.seconds is not None]
    return len(seconds) >= FEWEST and median(seconds) > SLOWER * fastest


def in_turn(trained: Mapping[int, TunedTraining], target: float | None) -> list[TunedTraining]:
    """The trainings, by seed, that count: from the first seed to one that is missing, or to where hope ends.

    So many has a search with one seed after the other. Workers have begun more before such a training ends.
    """
    found: list[TunedTraining] = []
    while len(found) in trained and not hopeless(found, target):
        found.append(trained[len(found)])
    return found


def reaches(trainings: Sequence[TunedTraining], seeds: int, target: float) -> bool:
    """Whether all seeds are there and the lower bound of their mean reaches the target, the rule for test images."""
    accuracies = [one.accuracy for one in trainings]
    return len(trainings) >= seeds and reached(accuracies, [], target).lower >= target
