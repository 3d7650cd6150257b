"""The article's experiments, from their records: rows, settings that hold its figures, effects.

A race of a results file is one row of the article, one grid, or the ReLU experiment; `race.about` tells which.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

from scipy import stats

from bench.analysis import statistics
from bench.records.kinds import Seen, Training
from bench.records.races import RaceResult


class Compared(NamedTuple):
    """A figure of the article next to ours; accuracies are shares."""

    what: str  # see `workloads.article.Figure`
    text: str  # as the article prints it
    split: str  # of which ours is
    epoch: int  # after which
    values: list[float]  # ours, a seed each; without seeds that diverged or were stopped before
    holds: bool  # whether the article's lies in their range
    constant: str | None  # "always 1, test", where the article's is the score of such an answer


class Times(NamedTuple):
    """Seconds of one training from beginning to end, and of one check of accuracy of the training images."""

    wall: float
    cpu: float
    check: float


class ExperimentResult(NamedTuple):
    """One experiment of the article and of ours."""

    name: str
    shows: str
    said: str  # by the article, where it has words instead of numbers
    setting: str
    seeds: int
    diverged: int  # of them
    collapsed: dict[int, int]  # digit: seeds whose network gives it for every test image at the end
    zeros: float  # share of outputs for test images that are exactly 0 at the end, median
    dead: list[int]  # outputs that are 0 for every test image, a seed each
    figures: list[Compared]
    article: float | None  # seconds of the article's training, and of its check
    article_check: float | None
    backend: str
    times: Times | None  # of the backend
    method: str  # that works as the article's program did; "" if there is none
    method_times: Times | None
    ratio: statistics.Ratio | None  # the backend's time over the method's


class SettingResult(NamedTuple):
    """A setting of a grid."""

    setting: dict[str, Any]
    name: str
    seeds: int
    left: bool  # its first seed was stopped early, so others were not tried
    figures: list[Compared]

    @property
    def held(self) -> int:
        """How many of the article's figures lie in the range of its seeds."""
        return sum(figure.holds for figure in self.figures)


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
    """One for each experiment of which a seed is finished."""
    return [experiment_result(race) for race in races if race.purpose == "article" and of_backend(race)]


def experiment_result(race: RaceResult) -> ExperimentResult:
    """The row of one experiment."""
    about, ours = race.about, of_backend(race)
    method = str(about["method"])
    theirs = race.participants[method].trainings if method else []
    epochs = int(about["epochs"])
    found = [one.points[-1] for one in ours]
    return ExperimentResult(
        about["name"],
        about["shows"],
        about["said"],
        about["setting"],
        len(ours),
        sum(diverged(one) for one in ours),
        dict(Counter(digit for point in found if (digit := constant_answer(point.test)) is not None)),
        median(point.test.zeros for point in found),
        [point.test.dead for point in found],
        [compared(figure, ours, about["labels"]) for figure in about["figures"]],
        about["seconds"],
        about["check"],
        about["backend"],
        training_times(ours, epochs),
        method,
        training_times(theirs, epochs),
        ratio_to_method(ours, theirs, method),
    )


def of_backend(race: RaceResult, setting: str | None = None) -> list[Training]:
    """The trainings by the backend that trains every seed, of one setting where there are several; by seed."""
    found = race.participants[race.about["backend"]].trainings
    return sorted((one for one in found if one.points and setting in (None, one.setting)), key=lambda one: one.seed)


def diverged(one: Training) -> bool:
    """Whether the cost was no finite number in the end."""
    return one.points[-1].train.cost is None


def constant_answer(seen: Seen) -> int | None:
    """The digit that a network gives for every image; None where it gives several."""
    digits = [digit for digit, times in enumerate(seen.answers) if times]
    return digits[0] if len(digits) == 1 else None


def training_times(trainings: Sequence[Training], epochs: int) -> Times | None:
    """Seconds of all epochs, from all that was trained; None where nothing was."""
    trained = sum(one.epochs for one in trainings)
    if not trained:
        return None
    wall, cpu = sum(one.wall for one in trainings), sum(one.user + one.system for one in trainings)
    check = median(point.check.wall for one in trainings for point in one.points)
    return Times(epochs / trained * wall, epochs / trained * cpu, check)


def ratio_to_method(ours: Sequence[Training], theirs: Sequence[Training], method: str) -> statistics.Ratio | None:
    """Our seconds an epoch over the method's, from the seeds that both trained, each close in time."""
    seconds: dict[int, dict[str, float]] = {}
    for name, trainings in (("ours", ours), (method, theirs)):
        for one in trainings:
            if one.epochs:
                seconds.setdefault(one.seed, {})[name] = one.wall / one.epochs
    both = [[of_seed] for of_seed in seconds.values() if len(of_seed) == 2]
    return next(iter(statistics.ratios(both, method)), None) if both else None


def compared(figure: dict[str, Any], trainings: Sequence[Training], labels: dict[str, list[int]]) -> Compared:
    """Where the article leaves open of which split, or after which epoch, a figure is: the place that is nearest."""
    found = []
    for after in figure["epochs"]:
        for split in figure["splits"]:
            values = list(seen_at(trainings, after, split, figure["what"]))
            distance = max(min(values) - figure["high"], figure["low"] - max(values), 0.0) if values else math.inf
            found.append((distance, split, after, values))
    distance, split, after, values = min(found, key=lambda one: one[0])  # the first of the nearest
    constant = None
    if figure["what"] == "accuracy":
        constant = next(
            constants(figure["low"], figure["high"], {name: labels[name] for name in figure["splits"]}),
            None,
        )
    return Compared(figure["what"], figure["text"], split, after, values, distance == 0, constant)


def seen_at(trainings: Sequence[Training], after: int, split: str, what: str) -> Iterator[float]:
    """What was seen in every training that got so far; not what is not finite."""
    for one in trainings:
        for point in one.points:
            value = getattr(getattr(point, split), what, None)
            if point.epoch == after and value is not None:
                yield float(value)


def constants(low: float, high: float, labels: dict[str, list[int]]) -> Iterator[str]:
    """The constant answers whose accuracy is from `low` up to `high`; labels: how often each digit is in each split."""
    for split, counts in labels.items():
        for digit, count in enumerate(counts):
            if low <= count / sum(counts) < high:
                yield f"always {digit}, {split}"


def setting_results(race: RaceResult) -> list[SettingResult]:
    """The settings of a grid that were tried, those that hold most figures first."""
    found = []
    for name, setting in race.key["settings"].items():
        trainings = of_backend(race, name)
        if trainings:
            figures = [compared(figure, trainings, race.about["labels"]) for figure in race.about["figures"]]
            found.append(SettingResult(setting, name, len(trainings), trainings[0].stopped_early, figures))
    return sorted(found, key=lambda one: -one.held)


def effects(race: RaceResult) -> list[Effect]:
    """The changes of the ReLU experiment, in their order; the first is the article's setting itself."""
    by_seed = {name: {one.seed: one for one in of_backend(race, name)} for name in race.about["changes"]}
    base = next(iter(by_seed.values()))
    found = []
    for name, (factor, to) in race.about["changes"].items():
        trainings = by_seed[name]
        if not trainings:
            continue
        ends = [one.points[-1] for one in trainings.values()]
        differences = [
            final_accuracy(trainings[seed]) - final_accuracy(base[seed]) for seed in trainings if seed in base
        ]
        itself = trainings is base or not differences
        found.append(
            Effect(
                factor,
                to,
                [final_accuracy(one) for one in trainings.values()],
                [end.train.cost for end in ends if end.train.cost is not None],
                sum(map(diverged, trainings.values())),
                median(end.test.zeros for end in ends),
                [end.test.dead for end in ends],
                None if itself else fmean(differences),
                None if itself or len(differences) < 2 else students(differences),
            )
        )
    return found


def final_accuracy(one: Training) -> float:
    """On the test images, at the end."""
    return one.points[-1].test.accuracy


def students(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of the mean, 95 %; of two values or more."""
    half = float(stats.t.isf(0.025, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


class MiniBatches(NamedTuple):
    """Epochs of many updates compared with epochs of five, by the article's method."""

    epoch_ratio: float  # seconds of an epoch of many over those of one of five
    target: float  # share of the test images: what the latter reach, mean over seeds
    epochs: int  # that those took
    epochs_needed: int | None  # after which the mean of the former is there, of those evaluated; None: not reached
    first: float  # test accuracy after one epoch of many updates, mean


def mini_batches(races: Iterable[RaceResult]) -> MiniBatches | None:
    """What mini-batches bring; None where the two rows that this takes are not there."""
    named = {race.about["name"]: race for race in races if race.purpose == "article" and of_backend(race)}
    many, few = named.get("80-mini-batches"), named.get("80-sigmoid")
    if many is None or few is None:
        return None
    times = [experiment_result(race).method_times for race in (many, few)]
    if times[0] is None or times[1] is None:
        return None
    epochs = int(few.about["epochs"])
    target = fmean(final_accuracy(one) for one in of_backend(few))
    trainings = of_backend(many)
    means = {
        after: fmean(seen_at(trainings, after, "test", "accuracy"))
        for after in (point.epoch for point in trainings[0].points)
    }
    return MiniBatches(
        times[0].wall / int(many.about["epochs"]) / (times[1].wall / epochs),
        target,
        epochs,
        next((after for after, mean in means.items() if mean >= target), None),
        means[1],
    )
