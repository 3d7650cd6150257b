"""The article's experiments, from their records: figures, settings that reproduce them, effects.

A race of a results file is one experiment of the article, one grid, or the ReLU experiment; `race.about` says which.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

import numpy as np

from bench.analysis import statistics
from bench.analysis.machines import timed
from bench.records.kinds import Training
from bench.records.races import RaceResult


class Compared(NamedTuple):
    """A figure of the article, and the values measured here; accuracies are shares."""

    what: str  # see `workloads.article.Figure`
    text: str  # as the article prints it
    split: str  # of which the values are
    epoch: int  # after which
    values: list[float]  # a seed each; without seeds that diverged or were stopped before
    reproduced: bool  # whether the article's figure lies in their range
    constant: str | None  # "always 1, test", where the article's figure is the score of that answer


class Times(NamedTuple):
    """Seconds of one training from beginning to end, and of one check of accuracy of the training images."""

    wall: float
    cpu: float
    check: float


class ExperimentResult(NamedTuple):
    """One experiment of the article, repeated."""

    name: str
    about: dict[str, Any]  # the article's: what it shows, its setting, seconds; see `workloads.article.Experiment`
    seeds: int
    diverged: int  # of them
    collapsed: dict[int, int]  # digit: seeds whose network gives it for every test image at the end
    zeros: float  # share of outputs for test images that are exactly 0 at the end, median
    dead: list[int]  # outputs that are 0 for every test image, a seed each
    figures: list[Compared]
    trainings: list[Training]  # of the backend, by seed
    times: Times | None  # of the backend
    method_times: Times | None  # of the method, that works as the article's program did; None if there is none
    ratio: statistics.Ratio | None  # the backend's time over the method's


class SettingResult(NamedTuple):
    """A setting of a grid."""

    name: str
    seeds: int
    stopped_early: bool  # its first seed was, so others were not tried
    figures: list[Compared]

    @property
    def n_reproduced(self) -> int:
        """How many of the article's figures lie in the range of its seeds."""
        return sum(figure.reproduced for figure in self.figures)


class Effect(NamedTuple):
    """What changing one factor does to the accuracy, on the test images at the end."""

    factor: str
    to: str
    accuracies: list[float]  # a seed each
    costs: list[float]  # of the training images; without seeds that diverged
    diverged: int
    zeros: float  # share of outputs that are exactly 0, median
    dead: list[int]  # outputs that are 0 for every test image, a seed each
    difference: float | None  # of accuracy to the article's setting, mean over the seeds that both have
    interval: tuple[float, float] | None  # of that, Student's, 95 %; None: of a single seed, or for that setting itself


def experiment_results(races: Iterable[RaceResult]) -> list[ExperimentResult]:
    """One for each experiment of which a seed is finished.

    Its ratio is of seconds an epoch, from the seeds that both trained, each close in time.
    """
    rows = []
    for race in races:
        if race.purpose != "article" or not (trainings := of_backend(race)):
            continue
        about, ends = race.about, [one.points[-1] for one in trainings]
        method = in_detail(race, about["method"]) if about["method"] else []
        answers = [[digit for digit, images in enumerate(end.test.answers) if images] for end in ends]
        an_epoch = {
            name: {one.seed: one.wall / one.epochs for one in several if one.epochs and one.machine is None}
            for name, several in (("backend", trainings), ("method", method))
        }
        row = ExperimentResult(
            name=about["name"],
            about=about,
            seeds=len(trainings),
            diverged=sum(end.train.cost is None for end in ends),
            collapsed=dict(Counter(digits[0] for digits in answers if len(digits) == 1)),
            zeros=median(end.test.zeros for end in ends),
            dead=[end.test.dead for end in ends],
            figures=[compared(figure, trainings, about["labels"]) for figure in about["figures"]],
            trainings=trainings,
            times=training_times(trainings, int(about["epochs"])),
            method_times=training_times(method, int(about["epochs"])),
            ratio=statistics.ratio(statistics.by_seed(an_epoch), "backend", "method"),
        )
        rows.append(row)
    return rows


def of_backend(race: RaceResult, setting: str | None = None) -> list[Training]:
    """The trainings by the backend that trains every seed, by seed; setting: of this one alone."""
    trainings = in_detail(race, race.about["backend"])
    return [one for one in trainings if setting in (None, one.setting)]


def in_detail(race: RaceResult, participant: str) -> list[Training]:
    """The trainings by a participant that were looked at in between, by seed."""
    return sorted((one for one in race.participants[participant].trainings if one.points), key=lambda one: one.seed)


def training_times(trainings: Sequence[Training], epochs: int) -> Times | None:
    """Seconds of all epochs, from all that was trained on one machine; None where nothing was."""
    trainings = timed(list(trainings))
    trained = sum(one.epochs for one in trainings)
    if not trained:
        return None
    wall, cpu = sum(one.wall for one in trainings), sum(one.user + one.system for one in trainings)
    check = median(point.check.wall for one in trainings for point in one.points)
    return Times(epochs / trained * wall, epochs / trained * cpu, check)


def compared(figure: dict[str, Any], trainings: Sequence[Training], labels: dict[str, list[int]]) -> Compared:
    """Compare a figure; where the article leaves its split or epoch open, with the values that are nearest to it.

    labels: how often each digit is in each split.
    """
    low, high = figure["low"], figure["high"]
    places = []
    for after in figure["epochs"]:
        for split in figure["splits"]:
            values = seen_at(trainings, after, split, figure["what"])
            distance = max(min(values) - high, low - max(values), 0.0) if values else math.inf
            places.append((distance, split, after, values))
    distance, split, after, values = min(places, key=lambda place: place[0])  # the first of the nearest
    scores = {
        f"always {digit}, {name}": count / sum(labels[name])
        for name in (figure["splits"] if figure["what"] == "accuracy" else ())
        for digit, count in enumerate(labels[name])
    }
    constant = next((answer for answer, score in scores.items() if low <= score < high), None)
    return Compared(figure["what"], figure["text"], split, after, values, distance == 0, constant)


def seen_at(trainings: Sequence[Training], after: int, split: str, what: str) -> list[float]:
    """The values of this quantity after this epoch, of every training that got so far; without those not finite."""
    points = [point for one in trainings for point in one.points if point.epoch == after]
    values = [getattr(getattr(point, split), what, None) for point in points]
    return [float(value) for value in values if value is not None]


def setting_results(race: RaceResult) -> list[SettingResult]:
    """The settings of a grid that were tried, those that reproduce most figures first."""
    results = []
    for name in race.key["settings"]:
        trainings = of_backend(race, name)
        if trainings:
            figures = [compared(figure, trainings, race.about["labels"]) for figure in race.about["figures"]]
            results.append(SettingResult(name, len(trainings), trainings[0].stopped_early, figures))
    return sorted(results, key=lambda one: -one.n_reproduced)


def effects(race: RaceResult) -> list[Effect]:
    """The changes of the ReLU experiment, in their order; the first is the article's setting itself."""
    changes = race.about["changes"]
    ends = {name: {one.seed: one.points[-1] for one in of_backend(race, name)} for name in changes}
    base = next(iter(ends.values()))
    rows = []
    for name, (factor, to) in changes.items():
        points = list(ends[name].values())
        if not points:
            continue
        accuracies = {seed: point.test.accuracy for seed, point in ends[name].items()}
        differences = [accuracies[seed] - base[seed].test.accuracy for seed in accuracies if seed in base]
        difference = interval = None
        if differences and ends[name] is not base:
            difference = fmean(differences)
            if len(differences) > 1:
                _, half = statistics.student(np.array(differences), 0.05)
                interval = difference - float(half), difference + float(half)
        costs = [point.train.cost for point in points if point.train.cost is not None]
        zeros, dead = median(point.test.zeros for point in points), [point.test.dead for point in points]
        diverged = len(points) - len(costs)
        rows.append(Effect(factor, to, list(accuracies.values()), costs, diverged, zeros, dead, difference, interval))
    return rows


class MiniBatches(NamedTuple):
    """Epochs of many updates compared with epochs of five, by the article's method."""

    epoch_ratio: float  # seconds of an epoch of many over those of one of five
    target: float  # share of the test images: what the latter reach, mean over seeds
    epochs: int  # that those took
    epochs_needed: int | None  # after which the mean of the former is there, of those evaluated; None: not reached
    first: float  # test accuracy after one epoch of many updates, mean


def mini_batches(races: Iterable[RaceResult]) -> MiniBatches | None:
    """What mini-batches bring; None where one of the two experiments is missing, or workers trained them."""
    races = list(races)
    if any(race.machines for race in races):
        return None
    rows = {row.name: row for row in experiment_results(races)}
    many, few = rows.get("80-mini-batches"), rows.get("80-sigmoid")
    if many is None or few is None or many.method_times is None or few.method_times is None:
        return None
    target = fmean(one.points[-1].test.accuracy for one in few.trainings)
    epochs = [point.epoch for point in many.trainings[0].points]
    means = {epoch: fmean(seen_at(many.trainings, epoch, "test", "accuracy")) for epoch in epochs}
    if 1 not in means or not many.about["epochs"] or not few.about["epochs"]:  # others than the article's
        return None
    needed = next((epoch for epoch, mean in means.items() if mean >= target), None)
    of_few = int(few.about["epochs"])
    epoch_ratio = many.method_times.wall / int(many.about["epochs"]) / (few.method_times.wall / of_few)
    return MiniBatches(epoch_ratio, target, of_few, needed, means[1])
