"""What the trainings of each backend say of one target: whether they reach it, how soon, and how sure that is."""

from statistics import median
from typing import NamedTuple

from bench import statistics
from bench.raced import Raced, Trained
from bench.reaching import Reached, reached


class Outcome(NamedTuple):
    """What the trainings of one backend say of one target; seconds are wall."""

    name: str
    reached: Reached
    trainings: list[Trained]  # by seed
    seconds: float  # of a training, median over seeds
    evaluation: float  # of the test images, median
    prepare: float | None  # None: not told
    first: float | None  # of the first training in its process
    ratio: statistics.Ratio | None  # to the baseline


def outcomes(race: Raced) -> list[Outcome]:
    """All who trained and did not fail, fastest first."""
    assert race.target is not None
    ratios = {row.backend: row for row in statistics.ratios(rounds_of(race), race.baseline)}
    found = []
    for name, entrant in race.entrants.items():
        trainings = sorted(entrant.trainings, key=lambda one: one.seed)
        if trainings and entrant.failure is None:
            prepare, first = map(list, zip(*entrant.starts, strict=True)) if entrant.starts else ([], [])
            found.append(
                Outcome(
                    name,
                    reached([one.accuracy for one in trainings], [one.cost for one in trainings], race.target),
                    trainings,
                    median(one.wall for one in trainings),
                    median(one.evaluation for one in trainings),
                    median(prepare) if prepare else None,
                    median(first) if first else None,
                    ratios.get(name),
                )
            )
    return sorted(found, key=lambda row: (row.seconds, row.name))


def rounds_of(race: Raced) -> list[list[dict[str, float]]]:
    """Seconds by seed: what `bench.statistics` takes. A seed is one round of one generation."""
    by_seed: dict[int, dict[str, float]] = {}
    for name, entrant in race.entrants.items():
        if entrant.failure is None:
            for one in entrant.trainings:
                by_seed.setdefault(one.seed, {})[name] = one.wall
    return [[by_seed[seed]] for seed in sorted(by_seed)]
