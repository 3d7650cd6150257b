"""Time to a target accuracy: by backend, and by method of training."""

from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from bench.analysis import statistics
from bench.analysis.target import Reached, reached
from bench.records.kinds import LearningCurve, Training
from bench.records.races import RaceResult


class TimeToAccuracy(NamedTuple):
    """What the trainings of one backend say of one target; seconds are wall."""

    name: str
    reached: Reached
    trainings: list[Training]  # by seed
    seconds: float  # of a training, median over seeds
    evaluation: float  # of the test images, median
    prepare: float | None  # None: not recorded
    first: float | None  # of the first training in its process
    ratio: statistics.Ratio | None  # to the baseline


def times_to_accuracy(race: RaceResult) -> list[TimeToAccuracy]:
    """All backends that trained and did not fail, fastest first."""
    assert race.target is not None
    ratios = {row.backend: row for row in statistics.ratios(seconds_by_seed(race), race.baseline)}
    found = []
    for name, participant in race.participants.items():
        trainings, starts = sorted(participant.trainings, key=lambda one: one.seed), participant.starts
        if trainings and participant.failure is None:
            found.append(
                TimeToAccuracy(
                    name,
                    reached([one.accuracy for one in trainings], [one.cost for one in trainings], race.target),
                    trainings,
                    median(one.wall for one in trainings),
                    median(one.evaluation.wall for one in trainings),
                    median(one.prepare.wall for one in starts) if starts else None,
                    median(one.first.wall for one in starts) if starts else None,
                    ratios.get(name),
                )
            )
    return sorted(found, key=lambda row: (row.seconds, row.name))


def seconds_by_seed(race: RaceResult) -> list[list[dict[str, float]]]:
    """Seconds by seed: what `statistics` takes. A seed is one round of one generation."""
    by_seed: dict[int, dict[str, float]] = {}
    for name, participant in race.participants.items():
        if participant.failure is None:
            for one in participant.trainings:
                by_seed.setdefault(one.seed, {})[name] = one.wall
    return [[by_seed[seed]] for seed in sorted(by_seed)]


class MethodResult(NamedTuple):
    """What the trainings of a step say."""

    name: str
    backend: str
    case: dict[str, Any]  # of the recipe: batch, learning_rate, dtype, ...
    target: float
    until: bool
    reached: Reached
    seconds: float  # of a training, median
    epochs: float  # over the images, median
    an_epoch: float  # seconds that one took, median
    walls: dict[int, float]  # seconds of a training, by seed
    curves: list[LearningCurve]  # of trainings that end at the target

    @property
    def counts(self) -> bool:
        """Whether the target is reached: by every seed, where they train until they reach it; else by the rule."""
        return self.reached.above == 1 if self.until else self.reached.counts


def method_results(races: Iterable[RaceResult]) -> list[MethodResult]:
    """A row for each step that has a finished training, in their order."""
    found = []
    for race in races:
        ((name, participant),) = race.participants.items()
        mine = sorted(participant.trainings, key=lambda one: one.seed)
        if not mine or race.target is None:
            continue
        found.append(
            MethodResult(
                name,
                participant.backend,
                race.key,
                race.target,
                race.until,
                reached([one.accuracy for one in mine], [one.cost for one in mine], race.target),
                median(one.wall for one in mine),
                median(one.epochs for one in mine),
                median(one.wall / one.epochs for one in mine),
                {one.seed: one.wall for one in mine},
                [one.curve for one in mine if one.curve],
            )
        )
    return found


def factor(before: MethodResult, row: MethodResult) -> str:
    """How many times faster a row reached the target; at least so many, where the other did not; or nothing."""
    if not row.counts or not (before.counts or before.until):
        return ""
    times = before.seconds / row.seconds
    return f"{'' if before.counts else '> '}{f'{times:.3g}' if times < 1000 else f'{times:,.0f}'}"


def by_target(races: Iterable[RaceResult]) -> list[RaceResult]:
    """The trainings for each target, the lowest first."""
    return sorted(races, key=lambda race: (race.target or 0, race.number))


def paired(row: MethodResult, other: MethodResult) -> statistics.Ratio | None:
    """How many times as long a step takes as another, seed by seed; its interval is across seeds."""
    both = sorted(row.walls.keys() & other.walls.keys())
    return statistics.ratio([[{"row": row.walls[seed], "other": other.walls[seed]}] for seed in both], "row", "other")
