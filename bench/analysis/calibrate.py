"""How often `compare` is right: the verdicts on races of a backend against itself, with known extra work."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.analysis import statistics
from bench.records.races import RaceResult

GENERATIONS = 32  # of fresh processes, for a comparison; with half as many, noise hides slowdowns of 5 %
ITSELF, AGAIN = "itself", "itself again"
SLOWDOWNS = {"3 % more": 0.03, "5 % more": 0.05, "10 % more": 0.10}


class Verdicts(NamedTuple):
    """How often comparisons with one participant found a slowdown."""

    against: str  # the participant that was compared with the original
    work: float  # how many times as much it does, exactly
    share: float  # of the comparisons that found a slowdown
    interval: statistics.Interval  # where that may lie, with 95 %
    comparisons: int  # that do not overlap


def verdicts(races: Iterable[RaceResult], generations: int) -> list[Verdicts]:
    """How often comparisons of so many consecutive generations called each participant slower than the original."""
    races = list(races)
    rows = []
    for against, extra in ({AGAIN: 0.0} | SLOWDOWNS).items():
        called = [slower for race in races for slower in called_slower(race, against, generations)]
        if extra == 0:  # where both are the same, either may be called the slower one
            called += [slower for race in races for slower in called_slower(race, ITSELF, generations, AGAIN)]
        independent = sum(len(race.rounds()) // generations for race in races)
        if called:
            share = sum(called) / len(called)
            interval = statistics.share(share * independent, independent)
            rows.append(Verdicts(against, 1 + extra, share, interval, independent))
    return rows


def called_slower(race: RaceResult, against: str, generations: int, baseline: str = ITSELF) -> list[bool]:
    """Return, for every comparison of this many consecutive generations, whether it found a slowdown."""
    rounds, started = race.rounds(), race.started()
    windows = [slice(first, first + generations) for first in range(len(rounds) - generations + 1)]
    ratios = [statistics.ratio(rounds[window], against, baseline, started=started[window]) for window in windows]
    return [statistics.is_slowdown(ratio) for ratio in ratios if ratio is not None]


def comparison_length(races: Sequence[RaceResult]) -> int:
    """How many generations a comparison takes: as the newest calibration had it."""
    return races[-1].comparison or GENERATIONS
