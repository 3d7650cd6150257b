"""Races of one case on one machine in the order of time: each backend's ratio to the floor, and where it changed.

Times of different hours cannot be compared; ratios to the floor can, as it is measured in the same rounds (README.md).
What the floor depends on besides the case (NumPy, BLAS, the measuring code) may change from run to run: a backend has a
course for each state of these, and no change is looked for between courses.

A course is a staircase: levels that hold for some runs, with a change between two levels. Of all staircases the one is
taken whose squared deviations and prices are the least, in the logarithm of the ratio (optimal partitioning; Jackson et
al., IEEE Signal Processing Letters 12, 2005). The price of a change is the square of what its interval has to exceed:
so every change that is found has an interval without 1, and all intervals of a history hold together (Bonferroni).
tests/bench/analysis/test_history.py simulates how often a change is found where there is none.
"""

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bench.analysis import statistics
from bench.analysis.compare import ONE_MACHINE, case_of, yardstick
from bench.analysis.statistics import Interval
from bench.records.races import RaceResult
from bench.timing.worker import FLOOR
from impls.contract import Array

LEAST_RUNS = 6  # of a course, from which it shows how much runs differ from one another
UNKNOWN = "unknown"


class Run(NamedTuple):
    """One race of a history."""

    file: str
    when: datetime
    race: RaceResult
    ratios: dict[str, statistics.Ratio]  # to the floor, by backend; their intervals hold together with 95 %
    medians: dict[str, Array]  # the logarithms of these ratios, by generation

    @property
    def commit(self) -> str:
        """The revision that was measured, "unknown", or with "+changes" where the checkout differed from it."""
        return str(self.race.machine.get("commit") or UNKNOWN)


class Level(NamedTuple):
    """What a backend's ratio to the floor was from one run to another."""

    first: int  # places among the runs of the history
    last: int
    ratio: float  # geometric mean
    runs: int


class Change(NamedTuple):
    """From one level to the next."""

    backend: str
    before: Run  # the last one at the old level
    since: Run  # the first one at the new level
    levels: tuple[Level, Level]
    ratio: float  # of the new level to the old: above 1 is slower
    interval: Interval


class Course(NamedTuple):
    """One backend in the runs that share what the floor depends on."""

    places: list[int]  # among the runs of the history, in the order of time
    levels: list[Level]
    changes: list[Change]


class History:
    """Runs of one machine and one case, the oldest first."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = sorted(runs, key=lambda run: (run.when, run.file))

    @cached_property
    def yardsticks(self) -> list[list[int]]:
        """The places of the runs that share what the floor depends on, in the order of their first run."""
        places: dict[str, list[int]] = {}
        for place, run in enumerate(self.runs):
            places.setdefault(json.dumps(yardstick(run.race), sort_keys=True), []).append(place)
        return list(places.values())

    @cached_property
    def courses(self) -> dict[str, list[Course]]:
        """The courses of each backend; the backends in the order of the newest races that have them."""
        names = dict.fromkeys(name for run in reversed(self.runs) for name in run.race.participants)
        known: dict[str, list[list[int]]] = {}
        for name in names:
            measured = [[place for place in places if name in self.runs[place].ratios] for places in self.yardsticks]
            if any(measured):
                known[name] = [places for places in measured if places]
        comparisons = sum(len(places) - 1 for several in known.values() for places in several)
        error = statistics.error_of_each(comparisons)
        return {name: [course(self.runs, name, of, error) for of in several] for name, several in known.items()}

    @property
    def changes(self) -> list[Change]:
        """All changes, the newest first."""
        found = [one for courses in self.courses.values() for course in courses for one in course.changes]
        return sorted(found, key=lambda one: one.since.when, reverse=True)


def histories(races: Iterable[tuple[str, RaceResult]]) -> tuple[list[History], list[str]]:
    """Return the histories of two runs or more, that of the newest run first; and a line for races left out.

    races: each with the name of its file. Those of another purpose than a race or a sweep are not meant.
    """
    alike: dict[str, list[Run]] = {}
    without_floor, undated, twice = [], [], []
    seen: dict[str, str] = {}
    meant = [(file, race) for file, race in races if race.purpose == "race"]
    for file, race in sorted(meant, key=lambda one: -len(one[1].generations)):  # of a copy the longer one counts
        identity = json.dumps([race.when, race.key, race.baseline], sort_keys=True)
        when = moment(race.when)
        if identity in seen:
            twice.append(f"{file} holds a run that is in {seen[identity]}, too, and counts once")
        elif when is None:
            undated.append(file)
        elif not (run := run_of(file, when, race)).ratios:
            without_floor.append(file)
        else:
            machine = {part: race.key["machine"].get(part) for part in ONE_MACHINE}
            alike.setdefault(json.dumps([machine, case_of(race)], sort_keys=True), []).append(run)
        seen.setdefault(identity, file)
    several = [History(runs) for runs in alike.values() if len(runs) > 1]
    single = [run.file for runs in alike.values() if len(runs) == 1 for run in runs]
    left_out = [*twice]
    for files, why in (
        (single, "no other run is of the same machine, case and data"),
        (without_floor, "no backend was measured in the same rounds as the floor"),
        (undated, "the time of the run is not known"),
    ):
        left_out += [f"{', '.join(dict.fromkeys(files))}: {why}"] if files else []
    return sorted(several, key=lambda one: one.runs[-1].when, reverse=True), left_out


def run_of(file: str, when: datetime, race: RaceResult) -> Run:
    """A race as a run of a history."""
    rounds = race.rounds()
    ratios = {one.backend: one for one in statistics.ratios(rounds, FLOOR, may_stop_early=True)}
    medians = {name: statistics.medians_of(statistics.log_ratios(rounds, name, FLOOR)) for name in ratios}
    return Run(file, when, race, ratios, medians)


def moment(text: str) -> datetime | None:
    """A time in ISO 8601; without a time zone it is taken as UTC. None if it is no time."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def course(runs: Sequence[Run], backend: str, places: list[int], error: float) -> Course:
    """The levels and changes of a backend in these runs. error: the probability that one change's interval misses."""
    medians = [runs[place].medians[backend] for place in places]
    logs = np.array([values.mean() for values in medians])
    spread = deviation(medians)
    ends = [len(logs)]
    if spread is not None:
        logs = logs if len(logs) < LEAST_RUNS else without_spikes(logs)
        ends = without_small(logs, stairs(logs, (spread.of_run * spread.quantile(error)) ** 2))
    parts = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    levels = [
        Level(places[part.start], places[part.stop - 1], math.exp(logs[part].mean()), part.stop - part.start)
        for part in parts
    ]
    changes = []
    for old, new in pairwise(levels):
        assert spread is not None
        half = spread.quantile(error) * spread.of_run * math.sqrt(1 / old.runs + 1 / new.runs)
        ratio = new.ratio / old.ratio
        ends_of = Interval(ratio * math.exp(-half), ratio * math.exp(half))
        changes.append(Change(backend, runs[old.last], runs[new.first], (old, new), ratio, ends_of))
    return Course(places, levels, changes)


class Spread(NamedTuple):
    """How much the logarithm of a run's ratio scatters while nothing changes."""

    of_run: float  # standard deviation
    freedom: float  # degrees of it

    def quantile(self, error: float) -> float:
        """How many standard deviations an interval with this probability of missing reaches, to each side."""
        return statistics.quantile(error / 2, self.freedom)


def deviation(medians: Sequence[Array]) -> Spread | None:
    """How much runs scatter, given the medians of their generations; None where no run has two.

    Generations of a run differ, which is all that few runs show. From LEAST_RUNS on it is the larger of this and of
    what successive runs differ by, in a median, which changes hardly touch; that has half as many degrees of freedom
    as there are runs.
    """
    several = [values for values in medians if len(values) > 1]
    within = math.sqrt(np.mean([values.var(ddof=1) / len(values) for values in several])) if several else 0.0
    if len(medians) < LEAST_RUNS:
        return Spread(within, sum(len(values) - 1 for values in several)) if several else None
    means = [values.mean() for values in medians]
    between = statistics.robust_sd([np.array(pair) for pair in pairwise(means)]) or 0.0
    return Spread(max(within, between), len(medians) / 2)


def without_spikes(logs: Array) -> Array:
    """The medians of three successive runs: a level of a single run vanishes, but for the newest run's."""
    inner = np.median([logs[:-2], logs[1:-1], logs[2:]], axis=0)
    return np.concatenate([inner[:1], inner, logs[-1:]])


def stairs(logs: Array, price: float) -> list[int]:
    """The ends of the levels of the cheapest staircase: squared deviations, and `price` for each change."""
    n, logs = len(logs), logs - logs.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (logs, logs**2))
    costs, starts = np.full(n + 1, np.inf), np.zeros(n + 1, int)
    costs[0] = -price
    for end in range(1, n + 1):
        runs = end - np.arange(end)
        within = squares[end] - squares[:end] - (sums[end] - sums[:end]) ** 2 / runs
        totals = costs[:end] + price + np.maximum(within, 0.0)
        starts[end] = np.argmin(totals)
        costs[end] = totals[starts[end]]
    ends = [n]
    while starts[ends[0]]:
        ends.insert(0, int(starts[ends[0]]))
    return ends


def without_small(logs: Array, ends: list[int]) -> list[int]:
    """The ends of levels after joining those, the nearest first, that differ by no more than MARGIN."""
    while len(ends) > 1:
        means = [logs[start:end].mean() for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        steps = np.abs(np.diff(means))
        if steps.min() > math.log1p(statistics.MARGIN):
            break
        ends = [end for i, end in enumerate(ends) if i != np.argmin(steps)]
    return ends
