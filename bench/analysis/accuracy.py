"""Time to a target accuracy: has a recipe reached it, and how long does training take, by backend and by method?"""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.analysis import statistics
from bench.analysis.machines import timed
from bench.records.kinds import Training
from bench.records.races import RaceResult

LEAST_SEEDS = 10
CONFIDENCE = 0.99  # one-sided


class Reached(NamedTuple):
    """One recipe and one target, by several seeds; accuracies are shares of the test images."""

    target: float
    seeds: int
    diverged: int  # of them: the cost was not finite at the end; their accuracies count as they are
    mean: float
    lower: float  # 99 % lower bound of the mean over all possible seeds; -inf for a single seed
    best: float
    above: float  # share of the seeds that reached the target

    @property
    def counts(self) -> bool:
        """Whether the target is reached: by the lower bound of the mean, of enough seeds."""
        return self.seeds >= LEAST_SEEDS and self.lower >= self.target


def reached(accuracies: Sequence[float], costs: Iterable[float | None], target: float) -> Reached:
    """Student's lower bound of the mean (one-sided, 99 %). Raises ValueError without any accuracy."""
    n = len(accuracies)
    if not n:
        raise ValueError("expected the accuracy of at least one seed, found none")
    half = statistics.student(np.array(accuracies), 2 * (1 - CONFIDENCE))[1] if n > 1 else math.inf
    mean = float(np.mean(accuracies))
    diverged = sum(cost is None or not math.isfinite(cost) for cost in costs)
    above = sum(accuracy >= target for accuracy in accuracies) / n
    return Reached(target, n, diverged, mean, mean - float(half), max(accuracies), above)


class TimeToAccuracy(NamedTuple):
    """The trainings of a backend, or of a step, to one target; seconds are wall, medians over seeds."""

    name: str
    backend: str
    case: dict[str, Any]  # of the recipe: batch, learning_rate, dtype, ...
    target: float
    until: bool  # whether trainings end once they reach the target on the test images
    reached: Reached
    trainings: list[Training]  # by seed
    timed: list[Training]  # of them: those on one machine, whose seconds are shown
    seconds: float  # of a training
    epochs: float  # over the images, median
    an_epoch: float  # seconds that one took
    evaluation: float  # of the test images
    prepare: float | None  # None: not recorded
    first: float | None  # of the first training in its process
    ratio: statistics.Ratio | None  # to the baseline

    @property
    def counts(self) -> bool:
        """Whether the target is reached: by every seed, where they train until they reach it; else by the rule."""
        return self.reached.above == 1 if self.until else self.reached.counts

    @property
    def walls(self) -> dict[int, float]:
        """Seconds of a training on the machine whose seconds are shown, by seed."""
        return {one.seed: one.wall for one in self.timed}

    @property
    def on_workers(self) -> bool:
        """Whether other workers may have trained beside, so that its seconds give no ratio."""
        return self.timed[0].machine is not None


def times_to_accuracy(race: RaceResult) -> list[TimeToAccuracy]:
    """The results of all backends that trained and did not fail, fastest first."""
    rows = [row for row in method_results([race]) if race.participants[row.name].failure is None]
    return sorted(rows, key=lambda row: (row.seconds, row.name))


def method_results(races: Iterable[RaceResult]) -> list[TimeToAccuracy]:
    """A row for each participant that has a finished training, in the order of the races."""
    rows = []
    for race in races:
        trained = {
            name: sorted((one for one in participant.trainings if one.epochs), key=lambda one: one.seed)
            for name, participant in race.participants.items()
        }
        alone = {
            name: {one.seed: one.wall for one in several if one.machine is None}
            for name, several in trained.items()
            if race.participants[name].failure is None
        }
        seconds = statistics.by_seed(alone)
        ratios = {ratio.backend: ratio for ratio in statistics.ratios(seconds, race.baseline)}
        for name, participant in race.participants.items():
            trainings, starts = trained[name], participant.starts
            if not trainings or race.target is None:
                continue
            there = timed(trainings)
            starts = [one for one in starts if one.machine == there[0].machine]
            row = TimeToAccuracy(
                name=name,
                backend=participant.backend,
                case=race.key,
                target=race.target,
                until=race.until,
                reached=reached([one.accuracy for one in trainings], [one.cost for one in trainings], race.target),
                trainings=trainings,
                timed=there,
                seconds=median(one.wall for one in there),
                epochs=median(one.epochs for one in trainings),
                an_epoch=median(one.wall / one.epochs for one in there),
                evaluation=median(one.evaluation.wall for one in there),
                prepare=median(one.prepare.wall for one in starts) if starts else None,
                first=median(one.first.wall for one in starts) if starts else None,
                ratio=ratios.get(name),
            )
            rows.append(row)
    return rows


def factor(before: TimeToAccuracy, row: TimeToAccuracy) -> str:
    """How many times faster a row reached the target; "> " before it where `before` did not; "" if it is not known."""
    if not row.counts or not (before.counts or before.until):
        return ""
    times = before.seconds / row.seconds
    return f"{'' if before.counts else '> '}{f'{times:.3g}' if times < 1000 else f'{times:,.0f}'}"


def by_target(races: Iterable[RaceResult]) -> list[RaceResult]:
    """The races in the order of their targets, the lowest first."""
    return sorted(races, key=lambda race: (race.target or 0, race.number))


def in_turns(row: TimeToAccuracy, other: TimeToAccuracy) -> bool:
    """Whether the two trained in turns, seed by seed, so that their times give a ratio."""
    turns = row.case.get("in_turns") and other.case.get("in_turns")
    return bool(turns) and not (row.on_workers or other.on_workers)


def paired(row: TimeToAccuracy, other: TimeToAccuracy) -> statistics.Ratio | None:
    """How many times as long a backend or step takes as another, seed by seed; its interval is across seeds.

    None where workers trained one of them, as their seconds give no ratio.
    """
    if row.on_workers or other.on_workers:
        return None
    return statistics.ratio(statistics.by_seed({"row": row.walls, "other": other.walls}), "row", "other")
